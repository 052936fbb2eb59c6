// Package metrics names the options of a collector that does not exist here.
package metrics

// CollectorOption configures nothing.
type CollectorOption struct{}

// WithCollectorNamespace configures nothing.
func WithCollectorNamespace(string) CollectorOption { return CollectorOption{} }

// WithCollectorBatchDeliveryDurationBuckets configures nothing.
func WithCollectorBatchDeliveryDurationBuckets([]float64) CollectorOption { return CollectorOption{} }
