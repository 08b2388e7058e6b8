//go:build linux

package remote

import (
	"context"
	"errors"
)

// asker is what gets answers.
type asker struct {
	take func(answer []byte) error
	left func()
}

// OnAnswered has take called with each answer to a question of Ask, and left when there will be no
// more. An error of take says that no keeper answers so.
func (l *Log) OnAnswered(take func(answer []byte) error, left func()) {
	l.answers.Store(&asker{take, left})
}

// Ask asks the keeper (Options.Serve), and reports whether the questions are on their way. It never
// blocks.
func (l *Log) Ask(questions []byte) bool {
	return l.end.Send(append([]byte{asked}, questions...))
}

// Reload has the keeper write to the sinks of the config that it has read itself: all of them, or
// none where one cannot be opened.
func (l *Log) Reload(ctx context.Context) error {
	if !l.askReload() {
		return errors.New("ask for other logs: the keeper does not read")
	}
	select {
	case err := <-l.reloaded:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Log) askReload() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.end.Send([]byte{askReload}) {
		return false
	}
	l.sentOne()
	return true
}

// Say sends words for Options.Said of the Writer, and reports whether they are on their way. It
// never blocks.
func (l *Log) Say(words []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.message = append(append(l.message[:0], said), words...)
	if !l.end.SendLater(l.message) {
		return false
	}
	l.sentOne()
	return true
}
