/* The facts as OpenMetrics text (version 1.0.0), for Prometheus and its like. */
#ifndef STATUSD_OPENMETRICS_H
#define STATUSD_OPENMETRICS_H

#include "base/buf.h"
#include "statusd/facts.h"

#define OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

void openmetrics_write(const struct facts *f, struct buf *out);

#endif
