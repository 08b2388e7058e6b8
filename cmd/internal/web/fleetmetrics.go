package web

import (
	"github.com/prometheus/client_golang/prometheus"

	"syntap/cmd/internal/fleet"
)

// fleetMetrics are of the stores that get the records of the log. The label store is a store's name
// in the config, or its place there: no label has an address.
type fleetMetrics struct {
	records, confirmed, behind, behindSeconds, resent, duplicates, refused, lost, forks, spool *prometheus.Desc
}

func newFleetMetrics(desc func(name, help string, labels ...string) *prometheus.Desc) fleetMetrics {
	return fleetMetrics{
		records:       desc("fleet_records_total", "Records that a store has been sent.", "store"),
		confirmed:     desc("fleet_confirmed_seq", "Number of the last record that a store is proven to have, as all before.", "store"),
		behind:        desc("fleet_behind_records", "Records of the log that a store is not proven to have.", "store"),
		behindSeconds: desc("fleet_behind_seconds", "Age of the first record that a store is not proven to have.", "store"),
		resent:        desc("fleet_resent_total", "Records that a store has been sent again.", "store", "reason"),
		duplicates:    desc("fleet_duplicates_total", "Records that a store has more than once.", "store"),
		refused:       desc("fleet_refused_total", "Records that a store does not keep.", "store"),
		lost:          desc("fleet_lost_total", "Records that were removed before a store had them.", "store"),
		forks:         desc("fleet_forks_total", "Times that the log contradicted a store.", "store"),
		spool:         desc("fleet_spool_bytes", "Size of the files of the log with records that a store is not proven to have.", "store"),
	}
}

func (m *fleetMetrics) describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		m.records, m.confirmed, m.behind, m.behindSeconds, m.resent, m.duplicates, m.refused, m.lost, m.forks, m.spool,
	} {
		ch <- desc
	}
}

func (m *fleetMetrics) collect(
	stores []fleet.Stats,
	counter func(desc *prometheus.Desc, value uint64, labels ...string),
	gauge func(desc *prometheus.Desc, value float64, labels ...string),
) {
	for i := range stores {
		s, store := &stores[i], stores[i].Name
		counter(m.records, s.Records, store)
		gauge(m.confirmed, float64(s.Confirmed), store)
		gauge(m.behind, float64(s.Behind), store)
		gauge(m.behindSeconds, s.BehindSeconds, store)
		for reason, n := range s.Resent {
			counter(m.resent, n, store, reason)
		}
		counter(m.duplicates, s.Duplicates, store)
		counter(m.refused, s.Refused, store)
		counter(m.lost, s.Lost, store)
		counter(m.forks, s.Forks, store)
		gauge(m.spool, float64(s.SpoolBytes), store)
	}
}
