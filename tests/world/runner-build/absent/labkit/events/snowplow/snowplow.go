// Package snowplow stands in for the delivery of billing events, which no test configures.
package snowplow

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"gitlab.com/gitlab-org/labkit/v2/events/snowplow/metrics"
	"gitlab.com/gitlab-org/labkit/v2/events/snowplow/oidc"
)

var errAbsent = errors.New("this build of gitlab-runner delivers no events")

type (
	// SendResult is what came of a delivery.
	SendResult struct {
		EventCount, StatusCode int
		Err                    error
	}
	// SendCallback is told of deliveries.
	SendCallback func(successes, failures []SendResult)
	// EmitterOption configures nothing.
	EmitterOption struct{}
	// Emitter does not exist: making one fails.
	Emitter struct{}
	// Tracker does not exist: making one fails.
	Tracker struct{}
	// BillingEventRequiredInput is an event.
	BillingEventRequiredInput struct {
		Category, EventType, Realm, UnitOfMeasure string
		Quantity                                  float64
	}
	// BillingEventOptionalInput is the rest of an event.
	BillingEventOptionalInput struct {
		Subject, DeploymentType, InstanceID, UniqueInstanceID   string
		ProjectID, NamespaceID, RootNamespaceID, OrganizationID int64
		Metadata                                                map[string]any
	}
)

// WithCallback configures nothing.
func WithCallback(SendCallback) EmitterOption { return EmitterOption{} }

// WithTokenSource configures nothing.
func WithTokenSource(*oidc.Source) EmitterOption { return EmitterOption{} }

// WithMetricsCollectorOptions configures nothing.
func WithMetricsCollectorOptions(...metrics.CollectorOption) EmitterOption { return EmitterOption{} }

// NewEmitter fails.
func NewEmitter(string, ...EmitterOption) (*Emitter, error) { return nil, errAbsent }

// Collector has no metrics.
func (*Emitter) Collector() prometheus.Collector { return nil }

// NewTracker fails.
func NewTracker(string, *Emitter) (*Tracker, error) { return nil, errAbsent }

// TrackBillingEventWithOptionalInput fails.
func (*Tracker) TrackBillingEventWithOptionalInput(BillingEventRequiredInput, BillingEventOptionalInput) error {
	return errAbsent
}

// Stop has nothing to stop.
func (*Tracker) Stop() {}
