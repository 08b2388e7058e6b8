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
	read := tun.Frame{Head: make([]byte, 3), Body: make([]byte, 10)}
	err := router.ReadFrame(&read)
	if err != nil || string(read.Head) != "out" || string(read.Body) != "bound" || read.Offload != off {
		t.Errorf("ReadFrame = %v: %q, %q, %+v", err, read.Head, read.Body, read.Offload)
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
	short := tun.Frame{Head: make([]byte, 4), Body: make([]byte, 4)}
	if err := router.ReadFrame(&short); !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("ReadFrame of 9 bytes into 8 = %v, want io.ErrShortBuffer", err)
	}
}

func TestPipeClose(t *testing.T) {
	t.Parallel()
	router, host := tuntest.NewPipe(1500)
	read := make(chan error)
	go func() {
		read <- router.ReadFrame(&tun.Frame{Head: make([]byte, 8)})
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
