package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// guard refuses requests that no visitor of ours makes, and serves the others by their path.
func guard(routes map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")

		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		handler, found := routes[r.URL.Path]
		switch {
		case r.ContentLength != 0: // -1 = chunked
			h.Set("Connection", "close")
			_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // no body is read
			http.Error(w, "a request must have no body", http.StatusBadRequest)
		case !hostAllowed(r.Host, local):
			text := fmt.Sprintf("the Host of the request must be the address it goes to, %s, or localhost", local)
			http.Error(w, text, http.StatusForbidden)
		case foreign(r):
			http.Error(w, "another site has made this request", http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD are served", http.StatusMethodNotAllowed)
		case !found:
			http.Error(w, "not found", http.StatusNotFound)
		default:
			handler.ServeHTTP(w, r)
		}
	})
}

// hostAllowed reports whether a Host header names the address that its request has come to. The
// literal address does, and localhost where that stays on this machine; a name could be any site's,
// and the port may be that of a forwarding, as of ssh -L.
func hostAllowed(host string, local net.Addr) bool {
	u := url.URL{Host: host}
	name := u.Hostname()
	addr, err := netip.ParseAddr(name)
	tcp, ok := local.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() { // a Unix socket can be forwarded to a port, too
		return strings.EqualFold(name, "localhost") || err == nil && addr.IsLoopback()
	}
	return err == nil && addr == tcp.AddrPort().Addr().Unmap().WithZone("")
}

// foreign reports whether a browser says that another site has made the request. Following a link
// is no matter: the other site cannot read the answer that the browser shows.
func foreign(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	if (site == "cross-site" || site == "same-site") && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host != r.Host
}
