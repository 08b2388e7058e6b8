package router

import (
	"testing"

	"go.uber.org/goleak"

	"syntap/tun/tuntest"
)

func TestMain(m *testing.M) {
	tuntest.Reexec()
	goleak.VerifyTestMain(m)
}
