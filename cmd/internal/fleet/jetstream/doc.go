// Package jetstream keeps the records of a fleet in a stream of NATS JetStream, docs.nats.io.
//
// The stream is named SYNTAP. Its operator makes it (configs/fleet has a config), and it takes the
// subjects syntap.v1.ROUTER.LOG: each log has one of its own. A message is up to 256 KiB of
// consecutive lines, compressed with zstd. Its header says which lines they are, and which lines of
// the log are then in the stream ([end]).
//
// # No record twice, no state on the router
//
// Each message names the one that must be the last of its subject
// (Nats-Expected-Last-Subject-Sequence). The stream refuses it if another one came in between, even
// one of our own whose answer was lost. So the last message of a log says how far the log is, also
// after a restart or an unclear answer.
//
// Any node answers for the last message, and one that lags behind answers with an old one. So the
// leader is first asked for the sequence number of that message, through a message that it must
// refuse (Client.floor). That needs only the right to publish on the subject: a router needs no
// right to read the records of others. The leader also refuses while another message of the subject
// is in flight; then it is asked again. A reader, which may not publish, asks the leader for the
// message.
//
// An answer is a proof: with three replicas and sync_interval always a message is on the disks of
// two nodes before its answer.
package jetstream
