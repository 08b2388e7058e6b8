//go:build linux

package netstack

import (
	"sync"
	"testing"
	"testing/synctest"
)

// Functions that wait do not keep others from running, however many there are; few goroutines are
// left of a crowd, and none after the end.
func TestAcceptors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
		a := newAcceptors()
		ran := 0
		var mu sync.Mutex
		for range 3 {
			clients := make(chan struct{})
			for range 10 * maxIdle {
				a.run(func() {
					<-clients
					mu.Lock()
					defer mu.Unlock()
					ran++
				})
			}
			close(clients)
			synctest.Wait()
			if idle := a.idle.Load(); idle != maxIdle {
				t.Errorf("%d goroutines are idle, want %d", idle, maxIdle)
			}
		}
		if ran != 3*10*maxIdle {
			t.Errorf("%d functions ran, want %d", ran, 3*10*maxIdle)
		}
		a.close()
		synctest.Wait()
	})
}
