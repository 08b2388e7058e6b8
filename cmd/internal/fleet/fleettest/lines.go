package fleettest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"syntap/configs"
)

// templates are the handshake and the end of the connection that records.md shows, one line each.
var templates = sync.OnceValue(func() (all []string) {
	for _, m := range regexpJSON.FindAllSubmatch(configs.Records(), -1) {
		var line bytes.Buffer
		if json.Compact(&line, m[1]) == nil &&
			(strings.Contains(line.String(), `"msg":"handshake"`) ||
				strings.Contains(line.String(), `"handshake_seq":2`)) {
			all = append(all, line.String())
		}
	}
	return all
})

// Line returns a record, without its end, as a router with chain: true writes it: the handshake of
// a connection where seq is odd, its end where it is even. All that differs between connections
// differs, at random.
func Line(seq uint64, at time.Time) []byte {
	connection := rand.New(rand.NewPCG(1, (seq+1)/2)) //nolint:gosec // the same in both records
	number := func() (decimal, hexadecimal string) {
		n := connection.Uint32() | 1<<31
		return strconv.FormatUint(
				uint64(n),
				10,
			), hex.EncodeToString(
				binary.BigEndian.AppendUint32(nil, n),
			)
	}
	isn, isnHex := number()
	serverISN, serverHex := number()
	ts, tsHex := number()
	sport := strconv.Itoa(1024 + connection.IntN(64000))
	host := fmt.Sprintf("host%d.example.com", connection.IntN(2000))
	hash := func() string {
		return fmt.Sprintf(
			"%016x%016x%016x%016x", rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64(),
		)
	}
	text := templates()[(seq+1)%2]
	text = regexpTime.ReplaceAllString(
		text, `"time":"`+at.UTC().Format("2006-01-02T15:04:05.000000Z")+`"`,
	)
	text = regexpSeq.ReplaceAllString(text, fmt.Sprintf(`"msg":"$1","seq":%d`, seq))
	text = regexpHash.ReplaceAllStringFunc(
		text, func(s string) string { return s[:8] + hash() + `"` },
	)
	return []byte(strings.NewReplacer(
		"3662478005", isn, "da4cfab5", isnHex, "3166287167", serverISN, "bcb9b53f", serverHex,
		"1114388561", ts, "426c3851", tsHex, "60098", sport, "203.0.113.1",
		fmt.Sprintf("192.0.2.%d", connection.IntN(256)), "203.0.113.2",
		fmt.Sprintf("198.51.100.%d", connection.IntN(256)), "www.example.com", host,
		`"handshake_seq":2`, fmt.Sprintf(`"handshake_seq":%d`, seq-1),
		"reL2DpZNlGUqY+GWi6PMECsq+es", hash()[:27], `"synack_us":721`,
		fmt.Sprintf(`"synack_us":%d`, connection.IntN(90000)), `"duration_us":6709`,
		fmt.Sprintf(`"duration_us":%d`, connection.IntN(9e6)),
	).Replace(text))
}

var (
	regexpJSON = regexp.MustCompile("(?s)```json\n(.*?)```")
	regexpTime = regexp.MustCompile(`"time":"[^"]*"`)
	regexpSeq  = regexp.MustCompile(`"msg":"(\w+)","seq":\d+`)
	regexpHash = regexp.MustCompile(`"(?:prev|hash)":"[0-9a-f]{64}"`)
)
