// Package roster lists the routers of a fleet as its stores know them: how far each has come, and
// which faults its log has.
//
//	behind      records that another store has, or that a head in the store says there are
//	missing     numbers between records that the store does not have
//	duplicates  records that the store has once more: harmless, readers show each once
//	forks       times at which a log went on with other records than the store had: its host was
//	            rolled back, or two hosts have one name
//	writers     logs of a router that are written at the same time: 2 = two hosts have one name
//
// Missing records and duplicates are counted among the records of a while, as counting all of a
// large store takes long. A router that is silent and one that is gone look alike: both have an
// age.
package roster
