//go:build linux

package logger

import (
	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/hint"
)

// ReportRefused logs each mistake of a config that was not put in force.
func ReportRefused(to logrus.FieldLogger, err error) {
	errs, ok := err.(hint.List)
	if !ok {
		errs = hint.List{err}
	}
	for _, err := range errs {
		log := to.WithError(err)
		if remedy := hint.Of(err); remedy != "" {
			log = log.WithField("hint", remedy)
		}
		log.Error("config not reloaded, the one before stays in force")
	}
}
