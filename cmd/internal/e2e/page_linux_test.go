package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// openRow is the button of the first row of the live page's table.
const openRow = "#rows tr:not([hidden]) button.row"

// TestPage uses the live page as people do: looks at handshakes as they happen, filters, pauses,
// opens one.
func TestPage(t *testing.T) {
	lab := tuntest.NewLab(t)
	requireTools(t, "curl", "nc")
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", viewed)
	b := newBrowser(t, lab.Router)
	b.do(chromedp.Navigate("http://" + viewAddress + "/?filter=tcp")) // the browser asks the DNS
	b.wait("the connection", `document.querySelector('#connection').textContent === 'live'`)
	b.wait("word of nothing", `document.querySelector('#empty').textContent === 'No recent connection matches.'`)
	shown := `[...document.querySelectorAll('#rows tr:not([hidden])')]`
	rows := func(n int) string { return fmt.Sprintf("%s.length === %d", shown, n) }

	// Handshakes as they happen, the newest first.
	for i, url := range urls() {
		lab.Router.Run("curl", "-sS", url)
		b.wait("a row", rows(i+1))
	}
	command(t, lab.Router, "nc", "-z", tuntest.ServerAddr4, "81")
	b.wait("a row", rows(3))
	if got := eval[string](b, shown+`[0].textContent`); !strings.Contains(got, "refused") || !strings.Contains(got, tuntest.ServerAddr4+":81") || !strings.Contains(got, "ECONNREFUSED") {
		t.Errorf("first row is %q, want the refused handshake", got)
	}
	b.wait("the totals", `document.querySelector('#outcomes').textContent.replace(/\s/g, '').startsWith('established2refused1')`)
	b.wait("the charts", `document.querySelector('#chart-refused').textContent.includes('1 attempt, 1 destination')`)
	for chart, want := range map[string]string{"times": "median", "mss": "100 % clamped", "outcomes": "of 3 failed"} {
		b.wait("the chart of "+chart, fmt.Sprintf(`document.querySelector('#chart-%s').textContent.includes(%q)`, chart, want))
	}

	// By keyboard: filter, open, close, and on to the next one.
	b.do(chromedp.KeyEvent("/"))
	b.wait("the focus", `document.activeElement.id === 'filter'`)
	eval[any](b, `document.activeElement.value = 'tcp'`) // chromedp types the key although the page has taken it
	b.do(chromedp.KeyEvent(" established addr:203.0.113.0/24"))
	b.wait("the filter", rows(1))
	b.do(chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.Enter)) // to the row, and into it
	b.wait("the detail", `!document.querySelector('#detail').hidden && document.querySelector('.ladder').textContent.includes('lasted ')`)
	ladder := strings.Join(strings.Fields(b.text(".ladder")), " ")
	record := r.waitRecords(t, 3)[0]
	for _, want := range []string{
		"SYN seq x = ", "MSS 1460 → 1360, rule 1", "SYN-ACK seq y = ", "ack x+1 = ", "ACK seq x+1 = ", "ack y+1 = ",
		" DF ", "win 64240", "established in ", fmt.Sprintf("%s:%d", record.Src, record.Sport),
		"lasted ", "FIN to the ", " B → ", "← ",
	} {
		if !strings.Contains(ladder, want) {
			t.Errorf("ladder lacks %q: %s", want, ladder)
		}
	}
	if diff := cmp.Diff(strings.Join(record.Lines, "\n"), b.text("#detail pre")); diff != "" {
		t.Errorf("lines (-record +page):\n%s", diff)
	}
	b.screenshot("light")
	b.prefer("dark")
	b.screenshot("dark")
	b.prefer("light")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.wait("the detail to close", `document.querySelector('#detail').hidden && document.activeElement.classList.contains('row')`)
	b.filter("tcp")
	b.wait("all rows", rows(3))
	b.do(chromedp.Focus(openRow), chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.Enter))
	b.wait("the second row's detail", `document.querySelector('#detail')?.textContent.includes('`+tuntest.ServerAddr6+`')`)
	b.do(chromedp.KeyEvent(kb.Escape))

	// Escape leads back to the row that it left, however many come meanwhile.
	left := eval[string](b, `document.activeElement.ariaLabel`)
	b.do(chromedp.KeyEvent(kb.Enter))
	lab.Router.Run("curl", "-sS", urls()[0])
	b.wait("word of the new one", `document.querySelector('#count').textContent === 'held while you look, 1 new'`)
	b.do(chromedp.KeyEvent(kb.Escape))
	if got := eval[string](b, `document.activeElement.ariaLabel`); got != left || left == "" {
		t.Errorf("Escape leads to %q, want %q", got, left)
	}
	eval[any](b, `document.activeElement.blur()`)
	b.wait("the row", rows(4))

	// Paused, the rows stay.
	b.do(chromedp.Click("#pause"))
	lab.Router.Run("curl", "-sS", urls()[0])
	b.wait("word of the new one", `document.querySelector('#count').textContent === 'paused, 1 new since'`)
	if eval[bool](b, rows(5)) {
		t.Error("a row has come while the page was paused")
	}
	b.do(chromedp.Click("#pause"))
	b.wait("the row", rows(5))

	b.named()
	if got := b.console(); len(got) > 0 {
		t.Errorf("on the console: %q", got)
	}
	b.asks(rows)
	eval[any](b, `{
		const script = document.createElement('script');
		script.textContent = 'document.title = "injected"';
		document.body.append(script);
	}`)
	tuntest.Wait(t, "the inline script to be refused", func() bool {
		return slices.ContainsFunc(b.console(), func(m string) bool { return strings.Contains(m, "inline script violates") })
	})

	// On a phone nothing is wider than the screen.
	b.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateScale(2)))
	b.wait("the narrow page", `innerWidth === 360 && document.documentElement.scrollWidth === 360 && document.querySelector('#scroll').scrollWidth < 360`)
	b.screenshot("phone")
	b.wait("a row", `document.querySelector('`+openRow+`') !== null`)
	eval[any](b, `document.querySelector('`+openRow+`').click()`)
	b.wait("the narrow detail", `document.querySelector('#detail').scrollWidth === 360`)
	b.screenshot("phone-detail")
	r.stop(t, unix.SIGTERM)
	b.wait("word of the end", `document.querySelector('#connection').dataset.state === 'broken' &&
		/^syntap has not answered since \d\d:\d\d:\d\d/.test(document.querySelector('#gone').textContent) &&
		document.body.classList.contains('stale')`)
	b.do(chromedp.EmulateViewport(1360, 860), chromedp.KeyEvent(kb.Escape))
	b.screenshot("gone")

	// Another run begins with the connections of the last one.
	r.Process = lab.Router.Start(binary, "run", "-c", filepath.Join(r.dir, "syntap.yaml"))
	b.filter("tcp")
	b.wait("the router", `document.querySelector('#connection').textContent === 'live' && document.querySelector('#gone').hidden`)
	b.wait("the rows of the run before", rows(5))
	r.stop(t, unix.SIGTERM)
}

// filter puts a text into the filter.
func (b *browser) filter(text string) {
	b.t.Helper()
	eval[any](b, fmt.Sprintf(`{
		const filter = document.querySelector('#filter');
		filter.value = %q;
		filter.dispatchEvent(new Event('input'));
	}`, text))
}

// asks filters, groups and sorts five connections of which one to port 81 was refused.
func (b *browser) asks(rows func(int) string) {
	b.t.Helper()
	b.filter("prot:tcp")
	b.wait("the error", `document.querySelector('#error').textContent === 'column 1: "prot" is no key\nhint: did you mean "proto"?'`)
	if !eval[bool](b, rows(5)) {
		b.t.Error("rows have gone because of a wrong filter")
	}
	b.filter("!refused family")
	b.wait("no row", rows(0))
	b.filter("port:80-81 !established")
	b.wait("the refused one", rows(1))
	b.wait("the charts to obey the filter", `document.querySelector('#chart-outcomes').textContent.includes('100 % of 1 failed')`)
	b.filter("bytes:>0 tcp !open")
	b.wait("those that have carried something", rows(4))
	eval[any](b, `{
		const group = document.querySelector('#group');
		group.value = 'destination';
		group.dispatchEvent(new Event('change'));
	}`)
	b.wait("the groups", rows(2))
	if got := eval[string](b, `location.search`); got != "?filter=bytes%3A%3E0+tcp+%21open&group=destination" {
		b.t.Errorf("the address has %q", got)
	}
	b.do(chromedp.Reload())
	b.wait("the groups after a reload", rows(2))
	b.screenshot("groups")
	eval[any](b, `document.querySelector('`+openRow+`').click()`)
	b.wait("the group", rows(3))
	eval[any](b, `[...document.querySelectorAll('#head button')].find((b) => b.textContent === 'Received').click()`)
	b.wait("another order", `document.querySelector('#head [aria-sort]').textContent === 'Received' && location.search.includes('sort=received')`)
	b.filter("tcp")
	b.wait("all rows", rows(5))
	b.charted(rows)
}

// charted looks at the chart of outcomes with the mouse: what is under it, and at one stretch of
// time.
func (b *browser) charted(rows func(int) string) {
	b.t.Helper()
	eval[any](b, `{
		globalThis.mouse = (kind, share) => {
			const drawing = document.querySelector('#chart-outcomes svg');
			const { left, top, width } = drawing.getBoundingClientRect();
			drawing.setPointerCapture = () => undefined; // which has no pointer
			drawing.dispatchEvent(new PointerEvent(kind, { clientX: left + share * width, clientY: top + 50, button: 0, pointerType: 'mouse', bubbles: true }));
		};
	}`)
	b.wait("what is under the mouse", `{
		const bar = document.querySelector('#chart-outcomes .fill.refused');
		if (bar) mouse('pointermove', (Number(bar.getAttribute('x')) + 1) / bar.closest('svg').clientWidth);
		/\d\d:\d\d:\d\d – \d\d:\d\d:\d\d.*refused 1/.test(document.querySelector('.tip')?.textContent);
	}`)
	b.screenshot("hover")
	eval[any](b, `mouse('pointerdown', 0); mouse('pointermove', 0.2); mouse('pointerup', 0.2)`) // long ago
	b.wait("no row of that time", rows(0)+` && /^tcp since:\S+Z until:\S+Z$/.test(document.querySelector('#filter').value)`)
	b.do(chromedp.Click("#all-times"))
	b.wait("all rows", rows(5)+` && document.querySelector('#filter').value === 'tcp'`)
	eval[any](b, `mouse('pointerdown', 0.2); mouse('pointermove', 1); mouse('pointerup', 1)`)
	b.wait("the rows of that time", rows(5)+` && document.querySelector('#chart-outcomes').textContent.includes('of 5 failed')`)
	b.do(chromedp.Click("#all-times"))
	b.wait("all rows", rows(5)+` && document.querySelector('#filter').value === 'tcp'`)
}

// TestPageUnderLoad has the page show more handshakes than a reader can follow.
func TestPageUnderLoad(t *testing.T) {
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", viewed)
	b := newBrowser(t, lab.Router)
	b.do(chromedp.Navigate("http://" + viewAddress + "/"))
	b.wait("the connection", `document.querySelector('#connection').textContent === 'live'`)
	// The longest time that the page has not answered.
	eval[any](b, `{
		globalThis.slowest = 0;
		let last = performance.now();
		setInterval(() => {
			const now = performance.now();
			slowest = Math.max(slowest, now - last);
			last = now;
		}, 10);
	}`)
	connections := scaled(2_000, 60_000)
	start := time.Now()
	connectMany(t, lab, connections)
	rate := float64(connections) / time.Since(start).Seconds()
	b.wait("all connections to be counted", fmt.Sprintf(`document.querySelector('#instance').textContent.replaceAll(',', '').includes(' %d handshakes since')`, connections))
	b.wait("the rows", `document.querySelectorAll('#rows tr:not([hidden])').length === 200`)
	if n := eval[int](b, `document.querySelectorAll('*').length`); n > 5_000 {
		t.Errorf("the page has %d elements, want it to stay small", n)
	}
	reportf(t, "%d handshakes, %.0f per second: the page was busy for %.0f ms at most; %q", connections, rate, eval[float64](b, `slowest`), b.text("#count"))
	r.stop(t, unix.SIGTERM)
}

// named checks that whatever can be used has a name that a screen reader can say.
func (b *browser) named() {
	b.t.Helper()
	tree, err := chromedp.Call(b.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		b.t.Fatal(err)
	}
	found := make(map[string]int)
	for _, node := range tree.Nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		role := strings.Trim(string(node.Role.Value), `"`)
		found[role]++
		switch role {
		case "button", "checkbox", "searchbox", "table", "figure", "group", "region", "columnheader":
			if node.Name == nil || string(node.Name.Value) == `""` {
				b.t.Errorf("a %s has no name", role)
			}
		}
	}
	for _, role := range []string{"button", "checkbox", "searchbox", "table", "row", "columnheader", "status"} {
		if found[role] == 0 {
			b.t.Errorf("the page has no %s: %v", role, found)
		}
	}
}

// TestPageFiles looks for content that the page's policy would refuse: scripts and styles inside
// the page, and anything from elsewhere.
func TestPageFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../web/page/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("files of the page: %v, %v", files, err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, refused := range []string{"<style", " style=", "onclick=", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "://", "url("} {
			if strings.Contains(strings.ReplaceAll(string(content), "http://www.w3.org/2000/svg", ""), refused) {
				t.Errorf("%s contains %s", name, refused)
			}
		}
	}
}
