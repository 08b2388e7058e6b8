// Package tuntest is the base of every package's tests. It holds no test of the product
// itself.
//
// # Without privilege
//
// [NewPipe] makes a [tun.Link] out of channels: one end is handed to the code under test, the test
// plays the client's kernel at the other. [TCP], [UDP] and [ICMP] build the packets it sends, with
// right checksums, and [VerifyChecksums] judges those that come back.
//
// # With network namespaces (Linux)
//
// [NewLab] builds three namespaces in a row, client, router and server, joined by veth pairs;
// [NewNamespace] makes a single one. A [Namespace] runs code ([Namespace.Do]), short commands
// ([Namespace.Run]) and long ones ([Namespace.Start]), and can tell its whole configuration
// ([Namespace.State]), so that a test can show that nothing was left behind.
//
// The namespaces have no names. They live as long as the test process holds a descriptor of them,
// and so does everything in them: links, addresses, routes, rules. Any number of runs can share a
// machine, and one that is killed leaves nothing to clean up; the kernel kills its processes too.
//
// Namespaces need privilege. A test binary gets it from [Main], which runs the tests in a user
// namespace of their own where there is no root. [RequireNetNS], which NewLab and NewNamespace
// call, skips a test where all that is not enough, or fails it when SYNTAP_REQUIRE_NETNS=1, so that
// a run meant to be complete cannot pass by skipping.
//
// # Waiting
//
// Tests never sleep: [Wait] polls a condition until it holds or the test has clearly failed. Its
// deadline is generous, since test machines stall for seconds.
package tuntest
