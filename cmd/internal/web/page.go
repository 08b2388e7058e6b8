package web

import (
	"embed"
	"net/http"
)

// pageFiles is the live page. A browser runs it as it stands, without a build step.
//
//go:embed page
var pageFiles embed.FS

// addPage adds the files of the live page to routes, below /page/, the page itself as "/", and
// that of the fleet.
func addPage(routes map[string]http.Handler) {
	files, _ := pageFiles.ReadDir("page") // an embedded folder can be read
	for _, file := range files {
		path := "page/" + file.Name()
		routes["/"+path] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeFileFS(w, r, pageFiles, path)
		})
	}
	routes["/"] = routes["/page/live.html"]
	routes["/fleet"] = routes["/page/fleet.html"]
}
