"""The Transfer page: attacks made on one model, shown to others, as a heat map that fills live."""
