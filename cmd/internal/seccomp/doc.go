// Package seccomp assembles filters of system calls, and has the kernel apply them (seccomp(2)).
//
// A filter is a program for a struct seccomp_data: the number of a call, its architecture, and its
// arguments. [Rules] tell calls apart by number, and checks such as [OnlyOneOf] judge one by its
// arguments. Which calls a filter lets pass is the business of the package that has one.
package seccomp
