package web

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/recordtest"
	"syntap/tap/handshake"
	"syntap/tun/flow"
	"syntap/tun/tuntest"
)

// hostile is a name that is markup, a command to a terminal, and writes backwards.
const hostile = "<img src=x onerror=alert(1)>\x1b]0;x\a\u202e\"'&"

// imitate makes traffic of many kinds as a router would report it, until ctx ends.
func imitate(ctx context.Context, s *served, rate int) {
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"www.example.com", "api.example.net", "a-rather-long-name.of-a-service.in.some-cluster.example.org", "", "registry.example.com", hostile}
	processes := []string{"curl", "git-remote-https", "chromium", "postgres", "", hostile}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for begun, port := time.Now(), 0; ; {
		for due := int(time.Since(begun).Seconds()*float64(rate)) + 1; port < due; port++ {
			i := random.IntN(100)
			o := new(record.Opening)
			if name := names[i%len(names)]; name != "" {
				o.Name = &record.Name{Name: name, Source: "dns"}
			}
			if i%7 != 0 {
				o.Owner = &record.Owner{UID: 1000, User: "alice", PID: 4000 + i, Process: processes[(i/6)%len(processes)], Exe: "/usr/bin/" + processes[(i/6)%len(processes)]}
			}
			if i%5 == 4 {
				imitateQuery(s, o, names[i%3], port, i)
				continue
			}
			h := recordtest.Handshake(uint16(1024+port%60000), time.Now())
			h.Server = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i % len(names))}), []uint16{443, 80, 5432}[i%3])
			h.SYNACKDelay = time.Duration(random.ExpFloat64()*20_000) * time.Microsecond
			h.Upstream = &flow.Upstream{Local: h.Client, Remote: h.Server, DialTime: time.Millisecond, Decision: &flow.Decision{Rule: "default"}}
			switch {
			case i < 6:
				h.Outcome, h.Upstream.Error, h.SYNACKDelay, h.ACKDelay = handshake.Refused, "ECONNREFUSED", -1, -1
			case i < 9:
				h.Outcome, h.SYNACKDelay, h.ACKDelay = handshake.Denied, -1, -1
				h.Upstream.Decision = &flow.Decision{Deny: true, Rule: "egress.deny", Reason: "egress.deny forbids link-local addresses"}
			case i == 9:
				h.Outcome, h.Time, h.SYNACKDelay, h.ACKDelay = handshake.NoReply, h.Time.Add(-10*time.Second), -1, -1
			}
			s.Record(&record.Attributed{Record: h, Opening: o})
			if h.Outcome == handshake.Established && i%8 != 0 {
				s.Flow(&record.AttributedFlow{Flow: flow.Flow{
					Key: h.Key(), ServerISN: h.ServerISN, Started: h.Time, Duration: time.Duration(random.ExpFloat64() * float64(time.Second)),
					Outbound: uint64(random.ExpFloat64() * 2000), Inbound: uint64(random.ExpFloat64() * 200_000),
					End: []flow.End{flow.ClientFIN, flow.ServerFIN, flow.ServerRST}[i%3], Opening: o,
				}})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func imitateQuery(s *served, o *record.Opening, name string, port, i int) {
	d := &flow.Datagram{
		Proto: flow.UDP, Client: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(1024+port%60000)),
		Server: netip.MustParseAddrPort("198.51.100.53:53"), Time: time.Now(), Length: 40, Opening: o,
		DNS: &flow.DNS{Queries: []flow.Question{{Name: name, Type: 28}}}, Decision: &flow.Decision{Rule: "default"},
	}
	o.Name = nil
	s.Datagram(&record.AttributedDatagram{Datagram: d, Opening: o})
	if i%10 == 4 {
		s.Flow(&record.AttributedFlow{Flow: flow.Flow{
			Datagram: d, Key: flow.Key{Client: d.Client, Server: d.Server}, Started: d.Time, Duration: 12 * time.Millisecond, Outbound: 40, Inbound: 80, OutboundPackets: 1, InboundPackets: 1,
			Outcome: flow.Answered,
			DNS:     &flow.DNS{Response: true, Queries: d.DNS.Queries, Answers: []flow.Record{{Name: name, Type: 28, TTL: 60, Data: "2001:db8::1"}}},
		}})
	}
}

// browserPatience is how long a test waits for the browser: it starts and draws slowly on a busy
// machine.
const browserPatience = 2 * time.Minute

// newBrowser returns the context of a browser for tabs; the test is skipped without one.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("needs chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox,
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(browserPatience))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	return allocator
}

// TestHostilePage has markup, commands and characters that turn text around in all texts of
// records.
func TestHostilePage(t *testing.T) {
	allocator := newBrowser(t)
	s := traffic{serve(t, "127.0.0.1:0")}
	opening := func() *record.Opening {
		return &record.Opening{
			Owner: &record.Owner{UID: 1, User: hostile, PID: 7, Process: hostile, Exe: hostile, Unit: hostile, Container: hostile},
			Name:  &record.Name{Name: hostile, Source: "dns", Others: []string{hostile}},
		}
	}
	h := &record.Attributed{Record: recordtest.Handshake(1, time.Now()), Opening: opening()}
	h.Upstream = &flow.Upstream{Local: h.Client, Remote: h.Server, Decision: &flow.Decision{Deny: true, Rule: hostile, Reason: hostile}, Error: "ECONNREFUSED"}
	s.Record(h)
	s.Flow(&record.AttributedFlow{NameConflict: true, Flow: flow.Flow{
		Key: h.Key(), Started: h.Time, End: flow.ServerFIN, Opening: h.Opening, HTTPHost: hostile,
		Hello: &flow.Hello{SNI: hostile, ALPN: []string{hostile}, Version: hostile},
	}})
	d := &flow.Datagram{
		Proto: flow.UDP, Client: h.Client, Server: h.Server, Time: h.Time, Opening: opening(),
		DNS: &flow.DNS{Queries: []flow.Question{{Name: hostile, Type: 1}}}, QUIC: &flow.QUIC{Version: "1", Hello: &flow.Hello{SNI: hostile}},
	}
	s.Datagram(&record.AttributedDatagram{Datagram: d, Opening: record.AsOpening(d.Opening)})
	s.Flow(&record.AttributedFlow{Flow: flow.Flow{Datagram: d, Key: flow.Key{Client: d.Client, Server: d.Server}, Started: d.Time, Outcome: flow.Answered, DNS: &flow.DNS{
		Response: true, Queries: d.DNS.Queries, Answers: []flow.Record{{Name: hostile, Type: 16, Data: hostile}},
	}}})

	p := &pictures{t: t}
	defer p.open(allocator)()
	harmless := func(where string) {
		t.Helper()
		if got := p.eval(`document.querySelector('img') !== null || /[\u001b\u0007\u202e]/.test(document.body.textContent)`); got != "false" {
			t.Errorf("%s is not shown as text: %s", where, p.eval(`document.body.innerHTML`))
		}
		p.wait(`document.querySelector('#body').textContent.includes('<img src=x onerror=alert(1)>\\u001b]0;x\\u0007\\u202e')`)
	}
	p.do(chromedp.Navigate("http://" + s.Addr().String() + "/"))
	p.wait(`document.querySelectorAll('#rows tr:not([hidden])').length === 2`)
	harmless("the list")
	for i := range 2 {
		p.eval(fmt.Sprintf(`document.querySelectorAll('#rows button.row')[%d].click()`, i))
		harmless("a detail")
	}
	for _, by := range []string{"name", "process"} {
		p.do(chromedp.Navigate("http://" + s.Addr().String() + "/?group=" + by))
		p.wait(`document.querySelectorAll('#rows tr:not([hidden])').length === 1`)
		harmless("a group")
		p.eval(`document.querySelector('#rows button.row').click()`) // which asks for that name
		p.wait(`document.querySelectorAll('#rows tr:not([hidden])').length === 2 && document.querySelector('#error').hidden`)
		harmless("the filter")
	}
}

// TestPageGroups: a DNS query is in the group of the name that it asks for. A group has the
// connections that its filter finds.
func TestPageGroups(t *testing.T) {
	allocator := newBrowser(t)
	s := traffic{serve(t, "127.0.0.1:0")}
	h := &record.Attributed{
		Record:  recordtest.Handshake(1, time.Now()),
		Opening: &record.Opening{Name: &record.Name{Name: "www.example.com", Source: "dns"}},
	}
	s.Record(h)
	o := new(record.Opening)
	d := &flow.Datagram{
		Proto: flow.UDP, Client: h.Client, Server: h.Server, Time: h.Time, Opening: o,
		DNS: &flow.DNS{Queries: []flow.Question{{Name: "www.example.com", Type: 1}}},
	}
	s.Datagram(&record.AttributedDatagram{Datagram: d, Opening: o})
	p := &pictures{t: t}
	defer p.open(allocator)()
	const rows = `document.querySelectorAll('#rows tr:not([hidden])').length`
	p.do(chromedp.Navigate("http://" + s.Addr().String() + "/?group=name"))
	p.wait(rows + ` === 1 && document.querySelector('#rows tr').textContent.startsWith('www.example.com2')`)
	p.eval(`document.querySelector('#rows button.row').click()`) // which asks for that name
	p.wait(rows + ` === 2`)
	p.do(chromedp.Navigate("http://" + s.Addr().String() + "/?group=outcome"))
	const open = `[...document.querySelectorAll('#rows button.row')].find((b) => b.textContent === 'open')`
	p.wait(rows + ` === 2 && ` + open + ` !== undefined`)
	p.eval(open + `.click()`)
	p.wait(rows + ` === 1 && document.querySelector('#rows tr').textContent.includes('A www.example.com')`)
}

// TestPictures leaves pictures of the page in the directory that SYNTAP_SCREENSHOTS names, and
// tries the rules of axe-core, if SYNTAP_AXE names its file.
func TestPictures(t *testing.T) {
	dir := os.Getenv("SYNTAP_SCREENSHOTS")
	if dir == "" {
		t.Skip("needs SYNTAP_SCREENSHOTS")
	}
	allocator := newBrowser(t)
	for _, rate := range []int{10, 1000} {
		s := serve(t, "127.0.0.1:0")
		traffic, stop := context.WithCancel(context.Background())
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			imitate(traffic, s, rate)
		}()
		p := &pictures{t: t, dir: dir, name: fmt.Sprint(rate)}
		cancel := p.open(allocator)
		p.take("http://" + s.Addr().String())
		stop()
		<-stopped
		cancel()
	}
}

// TestFleetPictures leaves pictures of the page of a fleet there.
func TestFleetPictures(t *testing.T) {
	dir := os.Getenv("SYNTAP_SCREENSHOTS")
	if dir == "" {
		t.Skip("needs SYNTAP_SCREENSHOTS")
	}
	const store = `{"url":"https://logs1.example.com:9451","behind":0}`
	router := func(i int, more string) string {
		return fmt.Sprintf(`{"router":"gw%d","log":"0123456789abcdef","logs":1,"first_seq":1,"seq":%d,"time":"2026-11-26T07:50:00Z",`+
			`"age_seconds":%d,"behind":0,"missing":0,"duplicates":0,"forks":0,"writers":1,"hash":"9f86d081884c7d659a2feaa0c55ad015"%s}`,
			i, 123_456*(i+1), i*i, more)
	}
	var many []string
	for i := range 60 {
		many = append(many, router(i, ""))
	}
	many[1] = router(1, `,"router":"a-router-with-a-name-that-is-longer-than-most.example.com","behind":12345,"age_seconds":90000`)
	many[2] = router(2, `,"missing":17,"duplicates":3,"forks":1,"writers":2`)
	list := func(stores, routers string) func(context.Context) ([]byte, error) {
		return func(context.Context) ([]byte, error) {
			return fmt.Appendf(nil, `{"time":"2026-11-26T07:50:00Z","since":"2026-11-25T07:50:00Z","store":"https://logs1.example.com:9451",`+
				`"stores":[%s],"routers":[%s]}`, stores, routers), nil
		}
	}
	allocator := newBrowser(t)
	for name, ask := range map[string]func(context.Context) ([]byte, error){
		"none": list(store, ""),
		"two":  list(store, router(0, "")+","+router(1, "")),
		"many": list(store+`,{"url":"https://logs2.example.com:9452","behind":0,"error":"dial tcp 192.0.2.7:9452: connect: connection refused"}`,
			strings.Join(many, ",")),
		"no store": func(context.Context) ([]byte, error) {
			return nil, errors.New("https://logs1.example.com:9451: dial tcp 192.0.2.7:9451: connect: connection refused")
		},
	} {
		s := serveOptions(t, "127.0.0.1:0", usualTimeouts, Options{Fleet: ask})
		p := &pictures{t: t, dir: dir, name: "fleet"}
		cancel := p.open(allocator)
		p.do(chromedp.EmulateViewport(1400, 900), chromedp.Navigate("http://"+s.Addr().String()+"/fleet"))
		p.wait(`document.querySelector('#state').textContent !== 'asking the store'`)
		for _, width := range []int64{1400, 1024, 390} {
			p.do(chromedp.EmulateViewport(width, 844))
			for _, scheme := range []string{"light", "dark"} {
				p.prefer(scheme)
				p.shoot(fmt.Sprintf("%s-%d-%s", strings.ReplaceAll(name, " ", "-"), width, scheme))
			}
		}
		cancel()
	}
}

type pictures struct {
	t         *testing.T
	ctx       context.Context
	dir, name string
}

// open opens a tab, which starts the browser, and returns how to close it.
func (p *pictures) open(allocator context.Context) (cancel func()) {
	p.t.Helper()
	p.ctx, cancel = chromedp.NewContext(allocator)
	watchdog := time.AfterFunc(2*browserPatience, cancel) // the first call keeps its context
	defer watchdog.Stop()
	if err := chromedp.Do(p.ctx); err != nil {
		cancel()
		p.t.Fatalf("start the browser: %v", err)
	}
	return cancel
}

// call returns the context of one call to the browser.
func (p *pictures) call() (context.Context, context.CancelFunc) {
	return context.WithTimeout(p.ctx, browserPatience)
}

func (p *pictures) take(page string) {
	p.do(chromedp.EmulateViewport(1400, 900), chromedp.Navigate(page+"/"))
	p.wait(`document.querySelectorAll('#rows tr:not([hidden])').length > 50`)
	for _, width := range []int64{1400, 1024, 390} {
		height := int64(900)
		if width == 390 {
			height = 1600
		}
		p.do(chromedp.EmulateViewport(width, height))
		for _, scheme := range []string{"light", "dark"} {
			p.prefer(scheme)
			p.shoot(fmt.Sprintf("list-%d-%s", width, scheme))
		}
		p.prefer("light")
		p.do(chromedp.Navigate(page + "/?group=destination&range=15m"))
		p.wait(`document.querySelectorAll('#rows tr:not([hidden])').length > 2`)
		p.shoot(fmt.Sprintf("groups-%d", width))
		p.do(chromedp.Navigate(page + "/?filter=tcp+!open+name:*+outcome:established"))
		p.wait(`document.querySelectorAll('#rows tr:not([hidden])').length > 2`)
		p.eval(`document.querySelector('#rows button.row').click()`)
		p.shoot(fmt.Sprintf("detail-%d", width))
		p.do(chromedp.Navigate(page + "/?filter=prot:tcp+dst:x"))
		p.wait(`!document.querySelector('#error').hidden`)
		p.eval(`document.querySelector('#help').click()`)
		p.shoot(fmt.Sprintf("error-%d", width))
		p.do(chromedp.Navigate(page + "/"))
		p.wait(`document.querySelectorAll('#rows tr:not([hidden])').length > 50`)
	}
}

func (p *pictures) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := p.call()
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pictures) eval(expression string) string {
	p.t.Helper()
	ctx, cancel := p.call()
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[any](expression))
	if err != nil {
		p.t.Fatalf("%.200s: %v", expression, err)
	}
	return fmt.Sprint(value)
}

func (p *pictures) wait(expression string) {
	p.t.Helper()
	tuntest.Wait(p.t, expression, func() bool { return p.eval(expression) == "true" })
}

func (p *pictures) prefer(scheme string) {
	p.t.Helper()
	ctx, cancel := p.call()
	defer cancel()
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// shoot takes a picture when the page has been drawn twice, and tries the rules.
func (p *pictures) shoot(name string) {
	p.t.Helper()
	p.eval(`globalThis.drawn = false; setTimeout(() => (drawn = true), 600)`)
	p.wait(`globalThis.drawn === true`)
	if got := p.eval(`document.documentElement.scrollWidth > innerWidth`); got != "false" {
		p.t.Errorf("%s: the page is wider than the screen", name)
	}
	if file := os.Getenv("SYNTAP_AXE"); file != "" {
		axe, err := os.ReadFile(file)
		if err != nil {
			p.t.Fatal(err)
		}
		p.eval(string(axe) + ";0")
		p.eval(`globalThis.broken = undefined; axe.run().then((r) => (broken = r.violations.map((v) => v.id + ': ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 150) + ' ' + n.failureSummary.slice(0, 200))).join('\n'))); 0`)
		p.wait(`globalThis.broken !== undefined`)
		if got := p.eval(`broken`); got != "" {
			p.t.Errorf("%s %s: %s", p.name, name, got)
		}
	}
	ctx, cancel := p.call()
	defer cancel()
	image, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, p.name+"-"+name+".png"), image, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
