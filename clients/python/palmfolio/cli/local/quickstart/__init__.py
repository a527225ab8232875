"""The quickstart: three services, a portfolio, three users and a report on one machine.

Files under the output folder:
    portfolio.json     the portfolio, as data
    report.html        the same as one page
    services.yaml      the services' configurations, for `palmfolio serve all`
    endpoints.json     the services' addresses, while they run
    logs/ state/       the services' logs and stored data
"""
