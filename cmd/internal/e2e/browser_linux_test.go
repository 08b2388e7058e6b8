package e2e_test

import (
	"context"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"syntap/tun/tuntest"
)

// browser is a tab of a headless Chromium in a namespace.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex // guards the next
	messages []string   // on the page's console
}

// newBrowser starts a browser for the test, which is skipped without one: it is too large to be
// installed for every run.
func newBrowser(t *testing.T, ns *tuntest.Namespace) *browser {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		if soak() {
			t.Fatal("chromium is not installed")
		}
		t.Skip("needs chromium")
	}
	inNamespace := func(cmd *exec.Cmd) {
		enter := ns.Command(context.Background(), cmd.Path)
		cmd.Path, cmd.Args = enter.Path, slices.Concat(enter.Args, cmd.Args[1:])
		cmd.SysProcAttr = enter.SysProcAttr
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox,
		chromedp.ModifyCmdFunc(inNamespace), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	b.do(chromedp.EmulateViewport(1360, 860))
	go b.listen(chromedp.Console(ctx))
	return b
}

// listen collects the messages of the page, and of the browser about it, on the console.
func (b *browser) listen(console iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range console {
		if err != nil {
			return
		}
		b.mu.Lock()
		b.messages = append(b.messages, m.String())
		b.mu.Unlock()
	}
}

// console returns the messages on the page's console so far.
func (b *browser) console() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages)
}

// do runs actions.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("browser: %v", err)
	}
}

// eval returns the value of a JavaScript expression.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return value
}

// text returns the text of an element.
func (b *browser) text(selector string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Text(selector))
	if err != nil {
		b.t.Fatalf("text of %s: %v", selector, err)
	}
	return text
}

// wait waits until a JavaScript expression is true.
func (b *browser) wait(what, expression string) {
	b.t.Helper()
	tuntest.Wait(b.t, what, func() bool { return eval[bool](b, expression) })
}

// prefer makes the browser say that its user prefers a color scheme.
func (b *browser) prefer(scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		b.t.Fatalf("prefer %s: %v", scheme, err)
	}
}

// screenshot writes the browser's picture to a file of the directory that SYNTAP_SCREENSHOTS
// names, for people to look at.
func (b *browser) screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("SYNTAP_SCREENSHOTS")
	if dir == "" {
		return
	}
	image, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatalf("screenshot: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), image, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
