// Package jetstream keeps the records of a fleet in a stream of NATS JetStream, docs.nats.io.
//
// The stream is named SYNTAP. Its operator makes it (configs/fleet has a config), and it takes the
// subjects syntap.v1.ROUTER.LOG: each log has one of its own. A message is up to 256 KiB of lines
// that follow each other, compressed by zstd. Its header says which they are, and which the log has
// in the stream with them ([end]).
//
// # No record twice, no state on the router
//
// Each message names the one that has to be the last of its subject
// (Nats-Expected-Last-Subject-Sequence). The stream refuses it where another one has come between,
// be it one of our own whose answer was lost. So the last message of a log says how far the log is;
// after a restart or an unclear answer there is nothing else to ask.
//
// Any node answers for the last message, and one that lags answers with the past. So the leader is
// asked first for the sequence number of that message, by a message that it has to refuse
// (Client.floor). That takes no right but to publish on the subject, and a router needs no right to
// read the records of others. The leader also refuses while another message of the subject is on
// its way; then it is asked again. A reader, who may not publish, asks it for the message.
//
// An answer is a proof: with three replicas and sync_interval always a message is on the disks of
// two nodes before its answer.
package jetstream
