// Package tuntest has the helpers that the tests of every package share. It has no tests of the
// product.
//
// # Without privilege
//
// [NewPipe] makes a [tun.Link] from channels. The code under test gets one end, and the test plays
// the client's kernel at the other. [TCP], [UDP] and [ICMP] build packets with correct checksums,
// and [VerifyChecksums] checks those that come back. [ToLoopback] leads a router to servers at this
// machine's loopback.
//
// # With network namespaces (Linux)
//
// [NewLab] builds three namespaces in a row, client, router and server, joined by veth pairs.
// [NewNamespace] makes a single one. A [Namespace] runs code ([Namespace.Do]), short commands
// ([Namespace.Run]) and long ones ([Namespace.Start]). [Namespace.State] returns its whole
// configuration, so that a test can show that nothing was left behind.
//
// The namespaces have no names. They live as long as the test process holds a descriptor of them,
// and so do their links, addresses, routes and rules. Any number of runs can share a machine. A run
// that is killed leaves nothing to clean up; the kernel kills its processes too.
//
// Namespaces need privilege. A test binary gets it from [Main], which runs the tests in a user
// namespace if they do not run as root. If that is not enough, [RequireNetNS], which NewLab and
// NewNamespace call, skips the test, or fails it if SYNTAP_REQUIRE_NETNS=1 is set: a complete run
// cannot pass by skipping tests.
//
// # Waiting
//
// Tests never sleep. [Wait] polls a condition until it holds or its deadline passes. The deadline
// is generous, because test machines stall for seconds.
package tuntest
