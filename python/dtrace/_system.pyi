# SPDX-License-Identifier: Apache-2.0
"""The platform's own libdtrace, in the same shape."""

from ._embedded import ENGINE as ENGINE
from ._embedded import ENGINE_VERSION as ENGINE_VERSION
from ._embedded import Consumer as Consumer
