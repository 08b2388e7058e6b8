//go:build linux

package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/channel"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/isolate"
	"syntap/cmd/internal/limits"
	"syntap/cmd/internal/logger"
	"syntap/cmd/internal/memory"
	"syntap/cmd/internal/recent"
	"syntap/cmd/internal/record"
)

// ProcessName is the name by which a process knows that it is to serve http.listen, and under which
// ps shows it.
const ProcessName = "syntap-web"

// IsProcess reports whether this process is to serve http.listen for its keeper.
func IsProcess() bool { return os.Args[0] == ProcessName }

// Where it finds the keeper's listener, and the last records.
const listenerFD, recentFD = channel.FD + 1, channel.FD + 2

// ServeProcess serves http.listen until the keeper of this process ends.
func ServeProcess(ctx context.Context, stderr io.Writer) error {
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE) // they are for the keeper
	_ = os.WriteFile("/proc/self/comm", []byte(ProcessName), 0)         // for people alone
	limits.OneProcessor(os.Getenv)
	lines := logger.NewLines(stderr)
	defer lines.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w, err := openProcess(ctx, stop)
	if err != nil {
		return fmt.Errorf("serve http.listen: %w", limits.Explain(err))
	}
	log, err := logger.New(w.Log, lines)
	if err != nil {
		return err
	}
	w.isolate(log)
	o := w.remote.Options(w.Fleet)
	o.Run, o.Records = w.run, w.records
	return NewServer(w.listener, o).Run(ctx)
}

// Shown is the part of a run's state that the process begins with.
type Shown struct {
	Began time.Time // the run
	Fleet bool      // the config has stores
	Log   config.Log
}

// process is all that the process has from its keeper.
type process struct {
	Shown
	remote   Remote
	run      record.Run
	listener net.Listener
	records  *recent.Reader
}

// openProcess takes all that the keeper gives, and calls stop when that has ended, or closes the
// stream.
func openProcess(ctx context.Context, stop func()) (*process, error) {
	conn, err := channel.Socket(os.NewFile(channel.FD, "channel"))
	if err != nil {
		return nil, err
	}
	keeper := channel.NewAsker(conn, MaxFleet)
	go func() {
		_ = keeper.Listen() // without a keeper there is nothing to show
		stop()
	}()
	w := &process{remote: Remote{Ask: keeper.Ask}}
	text, err := keeper.Ask(ctx, AskShown)
	if err == nil {
		err = json.Unmarshal(text, &w.Shown)
	}
	if err != nil {
		return nil, err
	}
	w.run = record.ThisRun(w.Began) // while files can be read
	file := os.NewFile(listenerFD, "listener")
	defer file.Close()
	if w.listener, err = net.FileListener(file); err != nil {
		return nil, err
	}
	w.records, err = recent.Open(os.NewFile(recentFD, "recent"))
	return w, err
}

// processMemory bounds the memory that the process can take besides, as Needs.Memory does.
const processMemory = 512 << 20

// isolate gives up all rights but to accept connections and to answer.
func (w *process) isolate(log logrus.FieldLogger) {
	if err := isolate.Hide(); err != nil {
		log.WithError(err).Warn("other processes may read the memory of this one")
	}
	isolate.DumpNoCore()
	_ = time.Now().Local().String()                 // has the file of the time zone read
	if p, err := memory.OpenProgram(); err == nil { // else it keeps the pages of its start
		time.AfterFunc(time.Second, func() {
			debug.FreeOSMemory()
			_ = p.Unmap()
		})
	}
	files, err := isolate.Open(os.Getpid())
	landlock, entered := isolate.Enter(isolate.Needs{Page: true, Memory: processMemory})
	if entered != nil {
		log.WithError(entered).Warn("the process that serves http.listen keeps rights that it does not need")
	}
	if err != nil {
		return // the keeper tells its rights, if it can
	}
	defer files.Close()
	if own, err := files.Read(isolate.Web); err == nil {
		own.Hold(landlock)
		w.remote.Own = []isolate.Process{own}
	}
}
