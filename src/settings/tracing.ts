/** Traces for OpenTelemetry. */

import { integer, list, optional, text } from './kinds.js'
import type { SettingTable } from './setting.js'

export const tracingSettings = {
  'tracing.endpoint': {
    ...optional(text('', 'a URL such as http://127.0.0.1:4318'), 'no traces'),
    about: 'where traces are sent, by OTLP over HTTP as JSON; without a path, `/v1/traces` is meant',
  },
  'tracing.headers': {
    ...list('NAME=VALUE'),
    secret: true,
    about: 'headers to send them with, such as a key of the receiver',
  },
  'tracing.sampled_percent': {
    ...integer(100, 0, 100),
    about: 'of how many traces that begin here; what a client has begun is traced as it says',
  },
} as const satisfies SettingTable
