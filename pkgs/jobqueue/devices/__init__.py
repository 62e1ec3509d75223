"""Which devices there are, who is on them, and what may still go there.

Reading is in nvml.py and simulated.py, judging in watch.py, keeping others away in leases.py; which run goes
where is decided in plan.py, not here.
"""
