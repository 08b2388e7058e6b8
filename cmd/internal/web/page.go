package web

import (
	"embed"
	"net/http"
	"path/filepath"
)

// pageFiles is the live page. A browser runs it as it stands, without a build step.
//
//go:embed page
var pageFiles embed.FS

// pageKinds are the types of the page's files, for which no table of the host is read.
var pageKinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
}

// addPage adds the files of the live page to routes, below /page/, the page itself as "/", and
// that of the fleet.
func addPage(routes map[string]http.Handler) {
	files, _ := pageFiles.ReadDir("page") // an embedded folder can be read
	for _, file := range files {
		path := "page/" + file.Name()
		kind := pageKinds[filepath.Ext(file.Name())]
		routes["/"+path] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			http.ServeFileFS(w, r, pageFiles, path)
		})
	}
	routes["/"] = routes["/page/live.html"]
	routes["/fleet"] = routes["/page/fleet.html"]
}
