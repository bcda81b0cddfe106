// Package flights is the built-in job: how late flights leave, per origin airport and day.
//
//	flights ──> by origin ──> days of 24 h, UTC ──> one row per airport and day with at least one flight
//	(JSON Lines, up to      (closed an hour        {"origin":"LAX","day":"2001-01-01","flights":12,"mean_delay":7.25,
//	 an hour out of order)   after the day)         "max_delay":61,"late_share":0.25}
//
// Its default input is embedded: 20,000 flights in the United States from January to March 2001, put out of order within
// 50 minutes (convert.go; for the data's origin and terms see data/LICENSE-vega-datasets).
package flights
