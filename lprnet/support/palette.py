"""The colours of every plot: Okabe and Ito's palette, for all kinds of colour vision.

Source: M. Okabe and K. Ito, "Color Universal Design", 2008 (jfly.uni-koeln.de/color). sRGB in hex.
"""

BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
AMBER = "#E69F00"
