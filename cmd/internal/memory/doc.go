// Package memory gives back to the system memory that a process needs no more, when it allocates
// little: garbage, and pages of the program that only its start has run.
//
// Go's runtime by itself keeps about as much as is in use, and collects it only when something is
// allocated. The kernel keeps every page of the program that has ever run. So [Return] looks each
// second how much a collection would give back, and has it done where that is worth its time;
// [Program] takes the program's pages out of the process's map.
package memory
