"""The main job on one machine: three services, a portfolio, three users, a report.

Files under the output folder:
    portfolio.json     what was built, as data
    report.html        the same as one page
    services.yaml      the services' configurations, for `palmfolio serve all`
    endpoints.json     the services' addresses, while they run
    logs/ state/       the services' logs and everything that they keep
"""
