package chain

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/logfile"
)

// findHeads collects the heads of the log.
func (v *verifier) findHeads(ctx context.Context, files []string, o Verifying) error {
	for _, path := range o.Heads {
		heads, err := ReadHeads(v.chain, path)
		if err == nil && len(heads) == 0 {
			if _, err = os.Stat(path); err == nil {
				err = fmt.Errorf("%s: no head of a log", path)
			}
		}
		if err != nil {
			return err
		}
		for _, h := range heads {
			v.want(h, path)
		}
	}
	for _, path := range besides(files) {
		heads, err := ReadHeads(v.chain, path)
		if err != nil {
			v.broken("%v", err)
		}
		for _, h := range heads {
			v.want(h, path)
		}
	}
	if !o.Journal {
		return nil
	}
	return v.askJournal(ctx, files)
}

func (v *verifier) want(h Head, place string) {
	v.witness(Witness{Head: h, Place: place})
}

func (v *verifier) witness(w Witness) {
	v.wanted[w.Seq] = append(v.wanted[w.Seq], w)
	v.keyed = v.keyed || w.Keyed
	if v.end == nil || w.Seq > v.end.Seq {
		v.end = &w
	}
}

// besides returns the names of the heads that lie beside a log, of which some files are named.
func besides(files []string) (heads []string) {
	for _, path := range files {
		if !logfile.IsSide(path) {
			path = logfile.LogOf(path) + logfile.HeadSuffix
		}
		if strings.HasSuffix(path, logfile.HeadSuffix) && !slices.Contains(heads, path) {
			heads = append(heads, path)
		}
	}
	return heads
}

// askJournal reads the heads of the log in systemd's journal.
func (v *verifier) askJournal(ctx context.Context, files []string) error {
	var logs []string
	for _, path := range files {
		if path, err := filepath.Abs(logfile.LogOf(path)); err == nil && !slices.Contains(logs, path) {
			logs = append(logs, path)
		}
	}
	cmd := exec.CommandContext(ctx, "journalctl", "--quiet", "--all", "--output=json", "MESSAGE_ID="+journalID)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("ask the journal: %w", err)
	}
	found := 0
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct {
			Log  string `json:"SYNTAP_LOG"`
			Head string `json:"SYNTAP_HEAD"`
		}
		if json.Unmarshal(lines.Bytes(), &entry) != nil || !slices.Contains(logs, entry.Log) {
			continue
		}
		h, err := ParseHead(v.chain, []byte(entry.Head))
		if err != nil { // every user may write to the journal
			continue
		}
		found++
		v.want(h, "the journal")
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		return fmt.Errorf("ask the journal: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	if found == 0 {
		return hint.Fail(fmt.Errorf("the journal has no head of %s", strings.Join(logs, ", ")),
			`give the log "chain_anchor: [journald]", and name it by the path it was written to`)
	}
	return nil
}
