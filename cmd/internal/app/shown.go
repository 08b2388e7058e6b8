//go:build linux

package app

import (
	"time"

	"syntap/cmd/internal/config"
)

// shown is the part of a run's state that a process which serves a page begins with.
type shown struct {
	Began time.Time // the run
	Fleet bool      // the config has stores
	Log   config.Log
}

// askShown is the question for it. The others are those of package web.
const askShown = 0

// webName is the name of the process that serves http.listen, as routerName is that of a router.
const webName = "syntap-web"
