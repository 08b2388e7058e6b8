//go:build linux

package keeper

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"syntap/cmd/internal/channel"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet/shipping"
	"syntap/cmd/internal/isolate"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/recent"
	"syntap/cmd/internal/web"
)

// page has http.listen served by processes, one after the other. A nil page is none.
type page struct {
	k        *keeper
	listener net.Listener
	file     *os.File // of listener
	records  *recent.Writer
	refilled chan struct{} // closed when the records of earlier runs are there

	metrics  web.Metrics   // of the router's process
	process  atomic.Int64  // the present one; 0 = none
	limit    *rate.Limiter // of questions, so that none has the keeper work without end
	stopping atomic.Bool

	stop   context.CancelFunc
	served sync.WaitGroup
}

// openPage opens the listener of a config, and the memory in which the keeper puts records for it.
func (k *keeper) openPage(c *config.Config) error {
	if c.HTTP.Listen == "" {
		return nil
	}
	l, err := listenView(c, k.log)
	if err != nil {
		return err
	}
	p := &page{k: k, listener: l, refilled: make(chan struct{}), limit: rate.NewLimiter(questionsEachSecond, 50)}
	if p.file, err = l.(interface{ File() (*os.File, error) }).File(); err == nil {
		p.records, err = recent.New()
	}
	if err != nil {
		return errors.Join(err, l.Close())
	}
	p.metrics = web.NewProcess(func() (int, error) { return k.router.Load().cmd.Process.Pid, nil })
	k.page = p
	go func() {
		defer close(p.refilled)
		refill(p.records, c, k.log)
	}()
	return nil
}

// questionsEachSecond is how many questions are answered in the long run.
const questionsEachSecond = 100

// listenView opens the listener of the live page, the API and the metrics.
func listenView(c *config.Config, log logrus.FieldLogger) (net.Listener, error) {
	l, err := web.Listen(c.HTTP.Listen)
	if err != nil {
		return nil, err
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		log.WithField("address", tcp.String()).Warn("everyone who can reach http.listen can read the handshakes")
	}
	return l, nil
}

// refill takes the last records of earlier runs from the config's JSON log.
func refill(to *recent.Writer, c *config.Config, log logrus.FieldLogger) {
	if path := jsonLog(c); path != "" {
		if err := to.Refill(path); err != nil {
			log.WithError(err).Warn("the live page does not show the connections of earlier runs")
		}
	}
}

// recent returns the memory for records; nil without a page.
func (p *page) recent() *recent.Writer {
	if p == nil {
		return nil
	}
	return p.records
}

// await returns when the records of earlier runs are there: others come after them.
func (p *page) await() {
	if p != nil {
		<-p.refilled
	}
}

// start has processes serve the page from now on. At the end of ctx they say that the run stops.
func (p *page) start(ctx context.Context) {
	if p == nil {
		return
	}
	context.AfterFunc(ctx, func() { p.stopping.Store(true) })
	var serving context.Context
	serving, p.stop = context.WithCancel(context.Background())
	p.served.Go(func() { p.keep(serving) })
}

// end has the page served no more.
func (p *page) end() {
	if p != nil && p.stop != nil {
		p.stop()
	}
}

// close ends the process that serves the page, and removes a socket from the file system.
func (p *page) close() {
	if p == nil {
		return
	}
	p.end()
	p.served.Wait()
	_ = p.listener.Close()
	_ = p.file.Close()
}

// lastAnswers is how long a process has for its end when it cannot ask any more.
const lastAnswers = 1500 * time.Millisecond

// keep keeps a process until ctx ends.
func (p *page) keep(ctx context.Context) {
	limit := restarts(time.Second)
	for {
		err := p.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		p.k.log.WithError(err).Error("the process that serves http.listen has died, another one is started")
		if limit.Wait(ctx) != nil {
			return
		}
	}
}

// serve starts a process and answers its questions, until it dies or ctx ends.
func (p *page) serve(ctx context.Context) error {
	ours, theirs, err := channel.Stream()
	if err != nil {
		return err
	}
	cmd, err := startProcess(p.k.start, web.ProcessName, p.surroundings(), theirs, p.file, p.records.File())
	_ = theirs.Close()
	if err != nil {
		_ = ours.Close()
		return err
	}
	p.process.Store(int64(cmd.Process.Pid))
	defer context.AfterFunc(ctx, func() { _ = ours.Close() })()
	said := channel.Answer(ours, p.answer)
	late := time.AfterFunc(lastAnswers, func() { _ = cmd.Process.Kill() })
	ended := cmd.Wait()
	late.Stop()
	p.process.Store(0)
	return cmp.Or(said, ended)
}

// surroundings returns those in which processes are started: in another user namespace the users of
// those who ask could not be told apart.
func (p *page) surroundings() surroundings {
	if p.k.command != nil {
		return apart
	}
	return beside
}

// answer answers a question of the process that serves the page. A question is a byte: there is
// nothing in it to believe.
func (p *page) answer(question byte) ([]byte, error) {
	_ = p.limit.Wait(context.Background())
	c := p.k.config.Load()
	switch question {
	case web.AskShown:
		return json.Marshal(web.Shown{Began: began, Fleet: len(c.Fleet.Stores) > 0, Log: c.Log})
	case web.AskStatus, web.AskMetrics, web.AskAlive:
		return p.askRouter(question)
	case web.AskReady:
		return nil, p.ready()
	case web.AskProcess:
		return web.EncodeMetrics(p.metrics)
	case web.AskProcesses:
		return json.Marshal(p.processes())
	case web.AskFleet:
		if ask := shipping.Routers(c); ask != nil {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			return ask(ctx)
		}
	}
	return nil, errors.New("there is no answer to that")
}

// ready returns why no traffic is carried now.
func (p *page) ready() error {
	c := p.k.router.Load()
	switch {
	case p.stopping.Load():
		return errors.New("stopping")
	case c.isDone(), !isClosed(c.running):
		return errors.New("another router is being started")
	}
	ctx, cancel := context.WithTimeout(context.Background(), routerPatience)
	defer cancel()
	if _, err := c.figures.Load().Ask(ctx, web.AskAlive); err != nil {
		return errors.New("the router does not answer")
	}
	return nil
}

// routerPatience is how long a router may take for an answer, and its successor for its start.
const routerPatience = 5 * time.Second

// askRouter has the router answer. One that dies over it has a successor that answers.
func (p *page) askRouter(question byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), routerPatience)
	defer cancel()
	for {
		c := p.k.router.Load()
		select {
		case <-c.running:
			text, err := c.figures.Load().Ask(ctx, question)
			if ctx.Err() == nil && !errors.Is(err, channel.ErrEnded) {
				return text, err
			}
		case <-c.done:
		case <-ctx.Done():
		}
		select {
		case <-time.After(shortestPause):
		case <-ctx.Done():
			return nil, errors.New("the router does not answer")
		}
	}
}

// processes returns those whose rights this one can see. It sees none of others where ProtectProc=
// of a unit hides them.
func (p *page) processes() (all []isolate.Process) {
	for _, of := range []struct {
		pid  int
		role string
	}{
		{os.Getpid(), isolate.Keeper},
		{p.k.router.Load().cmd.Process.Pid, isolate.Router},
		{int(p.process.Load()), isolate.Web},
	} {
		if process, err := isolate.Read(of.pid, of.role); err == nil {
			all = append(all, process)
		}
	}
	return all
}

// jsonLog returns the file of the first JSON sink; "" where there is none.
func jsonLog(c *config.Config) string {
	for _, sink := range c.Tap.Log {
		if sink.Format == config.JSON && !logfile.IsStream(sink.Path) {
			return sink.Path
		}
	}
	return ""
}
