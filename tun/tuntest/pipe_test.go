package tuntest_test

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tun"
	"syntap/tun/tuntest"
)

func TestPipeCarriesFrames(t *testing.T) {
	t.Parallel()
	router, host := tuntest.NewPipe(1500)
	defer router.Close()
	off := tun.Offload{Flags: tun.NeedsCsum, CsumStart: 20, CsumOffset: 16}

	if err := host.Send(tuntest.Frame{Data: []byte("outbound"), Offload: off}); err != nil {
		t.Fatal(err)
	}
	head, body := make([]byte, 3), make([]byte, 10)
	n, gotOff, err := router.ReadFrame(head, body)
	if got := string(head) + string(body[:5]); err != nil || n != 8 || got != "outbound" || gotOff != off {
		t.Errorf("ReadFrame = %d, %+v, %v with %q, want 8, %+v, nil with %q", n, gotOff, err, got, off, "outbound")
	}

	if err := router.WriteFrame(off, [][]byte{[]byte("in"), nil, []byte("bound")}); err != nil {
		t.Fatal(err)
	}
	f, ok := host.Receive(tuntest.Patience)
	if diff := cmp.Diff(tuntest.Frame{Data: []byte("inbound"), Offload: off}, f); !ok || diff != "" {
		t.Errorf("Receive (-want +got), ok %v:\n%s", ok, diff)
	}
	if f, ok := host.Receive(time.Millisecond); ok {
		t.Errorf("Receive on an idle pipe = %q", f.Data)
	}
	if router.MTU() != 1500 || host.MTU() != 1500 {
		t.Errorf("MTU = %d and %d, want 1500", router.MTU(), host.MTU())
	}
}

func TestPipeFrameTooLong(t *testing.T) {
	t.Parallel()
	router, host := tuntest.NewPipe(1500)
	defer router.Close()
	if err := host.Send(tuntest.Frame{Data: make([]byte, 9)}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := router.ReadFrame(make([]byte, 4), make([]byte, 4)); !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("ReadFrame of 9 bytes into 8 = %v, want io.ErrShortBuffer", err)
	}
}

func TestPipeClose(t *testing.T) {
	t.Parallel()
	router, host := tuntest.NewPipe(1500)
	read := make(chan error)
	go func() {
		_, _, err := router.ReadFrame(make([]byte, 8), nil)
		read <- err
	}()
	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, os.ErrClosed) {
		t.Errorf("ReadFrame during Close = %v, want os.ErrClosed", err)
	}
	if err := router.WriteFrame(tun.Offload{}, nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("WriteFrame after Close = %v, want os.ErrClosed", err)
	}
	if err := router.Close(); err != nil {
		t.Errorf("second Close = %v, want nil", err)
	}
}
