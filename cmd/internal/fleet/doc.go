// Package fleet brings the records of a router's JSON log to stores outside, where those of many
// routers lie together.
//
// # Names
//
// A record is known everywhere by (router, log, seq). The router has its name from the config, the
// log is named by its first record ([LogID]), and numbers have no gaps.
package fleet
