"""The figures of a report, one file each: how it is drawn, its caption, its legend and when there is data for it."""
