"""`PairedNetwork`: a free and a clamped copy of one design, with devices of their own."""

from hwlearn.network.paired.network import PairedNetwork as PairedNetwork
