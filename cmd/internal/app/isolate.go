//go:build linux

package app

import "syntap/cmd/internal/isolate"

// isolate has this process give up the rights that a router does not need. Where the kernel, or a
// sandbox around it, refuses that, the router works all the same.
func (r *Router) isolate() {
	if err := isolate.Enter(isolate.Needs{Children: r.children}); err != nil {
		r.Logger.WithError(err).Warn("this process keeps rights that a router does not need")
	}
}
