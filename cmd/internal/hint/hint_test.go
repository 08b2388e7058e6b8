package hint_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"syntap/cmd/internal/hint"
)

func TestReport(t *testing.T) {
	t.Parallel()
	missing := errors.New("no such device")
	tests := []struct {
		name   string
		err    error
		want   string
		status int
	}{
		{"nil", nil, "", 0},
		{"plain", missing, "syntap: no such device\n", 1},
		{"failure", hint.Fail(missing, "plug it in"), "syntap: no such device\nhint: plug it in\n", 1},
		{"failure without remedy", hint.Fail(missing, ""), "syntap: no such device\n", 1},
		{"usage", hint.Usage(missing, "name another"), "syntap: no such device\nhint: name another\n", 2},
		{"status of a child", hint.Exit(137), "", 137},
		{"wrapped", fmt.Errorf("open tun0: %w", hint.Usage(missing, "plug it in")), "syntap: open tun0: no such device\nhint: plug it in\n", 2},
		{"outer status, inner hint", hint.Usage(hint.Fail(missing, "plug it in"), ""), "syntap: no such device\nhint: plug it in\n", 2},
		{"outer hint wins", hint.Fail(hint.Usage(missing, "inner"), "outer"), "syntap: no such device\nhint: outer\n", 1},
		{"list", hint.List{missing, hint.Usage(missing, "try again")}, "syntap: no such device\nsyntap: no such device\nhint: try again\n", 2},
		{"empty list", hint.List{}, "", 0},
		{"joined", errors.Join(hint.List{missing, missing}, hint.Usage(missing, "try again")), "syntap: no such device\nsyntap: no such device\nsyntap: no such device\nhint: try again\n", 2},
		{"joined, with a status", &hint.Error{Status: 126, Err: errors.Join(missing, hint.Fail(missing, "plug it in")), Hint: "plug it in"}, "syntap: no such device\nsyntap: no such device\nhint: plug it in\n", 126},
		{"name of two lines", hint.Fail(errors.New("open a\nsyntap: all is well"), "b\nhint: c"), "syntap: open a\n  syntap: all is well\nhint: b\n  hint: c\n", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if status := hint.Report(&out, tt.err); status != tt.status {
				t.Errorf("Report(%v) = %d, want %d", tt.err, status, tt.status)
			}
			if out.String() != tt.want {
				t.Errorf("Report(%v) printed %q, want %q", tt.err, out.String(), tt.want)
			}
		})
	}
}

func TestUnwrap(t *testing.T) {
	t.Parallel()
	err := hint.List{errors.New("first"), hint.Fail(fmt.Errorf("open config: %w", fs.ErrNotExist), "name another")}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("errors.Is(%v, fs.ErrNotExist) = false, want true", err)
	}
	if want := "first\nopen config: file does not exist"; err.Error() != want {
		t.Errorf("Error() = %q, want %q", err.Error(), want)
	}
}
