// Package nft describes one nftables table and installs it in the kernel. It does so by netlink;
// [Table.Text] prints the same table in the syntax of nft(8). Both forms come from the same
// statements, so the printed plan is the one that is carried out.
//
// A table is replaced as a whole in one transaction: packets meet the old rules or the new ones. If
// the kernel supports it (Linux 6.9), the table belongs to the socket that made it: "nft flush
// ruleset", with which firewalls begin, leaves it alone, and the table stays when its owner dies.
//
// A [Kernel] also reads the tables of other programs, to find rules that drop, redirect or leave
// untracked the packets of the router or its clients. Those of iptables-legacy are among them.
//
// Only Linux is supported.
package nft
