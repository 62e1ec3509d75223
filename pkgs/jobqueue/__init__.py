"""The queue: from a row of Jobs.csv to finished runs on free devices. Knows no training code.

Rooms, from the table to the screen: `table`, `schedule`, `devices`, `attempts`, `state`, `manager`, `screen`,
`commands`; `vocabulary` holds the words that they share.
"""
