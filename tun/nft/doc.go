// Package nft describes one nftables table and gives it to the kernel: by netlink, as [Table.Text]
// says in the syntax of nft(8). Both forms come from the same statements, so that a plan that is
// printed is the plan that is carried out.
//
// A table is replaced as a whole, in one transaction: packets meet the old rules or the new ones.
// Where the kernel can (Linux 6.9), the table belongs to the socket that made it: "nft flush
// ruleset", with which firewalls begin, passes over it, and the table stays when its owner dies.
//
// Only Linux is supported.
package nft
