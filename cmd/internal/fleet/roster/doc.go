// Package roster lists the routers of a fleet as its stores know them: the last record of each, and
// the faults of its log.
//
//	behind      records that another store has, or that a head in the store announces
//	missing     numbers between records that the store does not have
//	duplicates  records that the store has once more: harmless, readers show each once
//	forks       times at which a log continued with other records than the store had: its host was
//	            rolled back, or two hosts have one name
//	writers     logs of a router that are written at the same time: 2 = two hosts have one name
//
// Missing records and duplicates are counted among recent records, because counting a large store
// takes long. A silent router and a dead one look alike: both have an age.
package roster
