// Package host says what a config means for this host: which links, rules, routes and tables
// "syntap run" makes (package route makes them), what the operator should know of the host before
// that, and how it goes while they stand.
//
// The commands plan, cleanup and check ask it for this alone ([Plan], [Cleanup], [Notices]). For a
// keeper it logs what package route reports: notices when they appear ([NoticeBoard]), repairs and
// packets past the TUN once a minute. An error of package route gets its remedy here ([Explain]).
package host
