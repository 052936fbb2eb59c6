// Package fields names fields of log lines.
package fields

// Names of fields.
const (
	HTTPStatusCode = "http_status_code"
	DurationS      = "duration_s"
)

// Renamed says what a field is called now.
type Renamed struct{ Standard string }

// No field is renamed here.
var (
	Deprecated     = map[string]Renamed{}
	VariantVersion = map[string]int{}
)
