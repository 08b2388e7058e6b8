// Package shipping ships the JSON log of a config to its fleet.stores, from one reload of the
// config to the next. It knows configs, which package fleet does not.
//
// The log that [Fleet] ships asks it whether a rotated file may go, and tells it of the head of its
// chain and of the records that are in the file for good (audit.Options). Connections to stores
// carry the mark of upstream sockets, and so do not enter the TUN: else each would be a record that
// is sent to the stores.
package shipping
