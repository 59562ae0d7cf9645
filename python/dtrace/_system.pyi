# SPDX-License-Identifier: Apache-2.0
"""The platform's own libdtrace, in the same shape."""

from ._embedded import ENGINE as ENGINE
from ._embedded import ENGINE_VERSION as ENGINE_VERSION
from ._embedded import Column as Column
from ._embedded import Consumer as Consumer
from ._embedded import Frame as Frame
from ._embedded import Record as Record
