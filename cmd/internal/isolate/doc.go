// Package isolate tells what a process of syntap may do. [Read] asks the kernel, in /proc, for all
// of its threads: a right that one of them has is one of the process.
package isolate
